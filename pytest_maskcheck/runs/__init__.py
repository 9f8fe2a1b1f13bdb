"""One run, and the process that it happens in.

| job | modules |
| --- | --- |
| the vocabulary: requests, results, executors | requests |
| one run | runner, target, after_body, readings, undoing, after_fixtures, finalizers, garbage |
| what came out, and who caught it | outcomes, raised, tracebacks, catcher, users_interrupt |
| sequences of runs | isolation, forked, in_process, sequence |
| processes | child, wire, watchdog |
| the run that goes forward and forks | forward, forward_parent, forward_child |
| what a fork would share | effects, fork_hazards, fork_sharing, fixture_channels |
| what modules keep | fingerprint, module_state, library_state, levels, parts, value_texts, namespaces |
| where leftovers come from | origins, passing, sightings, last_calls |
"""
