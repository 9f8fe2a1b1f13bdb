"""The steps of one audit: prepare, interrupt, judge, confirm, blame, share. Imports neither pytest nor coverage.

| job | modules |
| --- | --- |
| what is to be done, and with what | assignment, rules, instruments, budget |
| the sequence | course, first_course, steps |
| before the first interrupt | preparation, left_anyway, rehearsal, selection, strategy, canaries, channels |
| making runs | run_maker, snapshots, first_use, second_interrupts |
| what one run shows | findings, failed_runs, proof, swallowed, stories |
| what is certain | judge, confirmation, blame, excuses, naming |
| where it came from, and whose it is | attribution, categories |
| how likely it is | exposures, timed_runs, gaps, shares |
| other workers | cooperation, sharing/ |
| what is sent | messages, announcements, complaints, final_results |
"""
