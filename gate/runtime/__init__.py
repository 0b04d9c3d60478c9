"""Run processes and threads with a time limit, and store raw evidence."""
