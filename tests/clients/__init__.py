"""Real clients, end to end on loopback: plainly, recorded, and replayed with the server gone."""
