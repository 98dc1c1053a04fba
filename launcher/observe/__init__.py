"""What people and programs see: tables, pictures, logs, status and metrics."""
