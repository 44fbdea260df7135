"""The yardsticks' one table."""

TABLE = """
    CREATE TABLE IF NOT EXISTS item (id uuid PRIMARY KEY, title text, status text, comment text)
"""
