"""Who is asking? Users, workspaces, keys, the audit trail, and the error root."""
