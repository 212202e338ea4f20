"""At which time and period two people move together: wavelet coherence."""
