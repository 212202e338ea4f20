"""Who leads whom: linear forecasts of one series by the past of another."""
