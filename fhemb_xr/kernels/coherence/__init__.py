"""At which time and period two series move together."""
