"""Everything that depends on pytest: its hooks, an item as a callable, and the audits of a session.

| job | modules |
| --- | --- |
| the session | hooks, audited_items, extensions, summary, terminal_appearance, progress, workers, command_line |
| one item, from its ordinary run to its report | item_protocol, ordinary, rerunners, unlogged, call_report, drawn_traceback, outcome |
| what is ordered | order_maker, order, outline, shared_fixtures, shared_descriptors |
| the process of an audit | place, assembly, auditing_process, first_use_process, lost_threads, scratch |
| an item as a callable | target, item_body, item_code, item_fixtures, run_needs, capture, generated_examples |
| the fixture ``maskcheck`` | fixture, guarantee, ledger, comparison |
| private names of pytest | private |
"""
