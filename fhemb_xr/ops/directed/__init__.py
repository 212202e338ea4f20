"""Who leads whom: Granger causality and transfer entropy."""
