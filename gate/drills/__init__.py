"""Inject a fault, observe how the system reacts, revert the fault and judge the recovery."""
