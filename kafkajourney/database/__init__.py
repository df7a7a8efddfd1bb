"""The seam to the database: engines, the groups' progress, rows and totals; one module for each dialect."""
