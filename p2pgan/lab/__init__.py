"""N real peers on this machine as separate processes, faults at their times, and a report."""
