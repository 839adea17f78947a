"""Clinical formulae on numpy arrays and as DuckDB macros, from one set of coefficients (docs/formulae.md)."""
