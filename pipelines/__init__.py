"""Uitkomststroom: from ZIB-coded hospital exports to outcome indicators, feedback and deliveries."""
