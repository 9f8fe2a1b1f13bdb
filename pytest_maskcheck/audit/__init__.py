"""The steps of one audit. Knows neither pytest nor coverage."""
