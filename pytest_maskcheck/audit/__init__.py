"""The steps of one audit: prepare, interrupt, judge, confirm, blame, share. Imports neither pytest nor coverage."""
