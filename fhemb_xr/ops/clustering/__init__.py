"""Groups, maps and barycentres of people."""
