"""From a graph to compiled code: program, rewrites, schedule, loops, printers, cache."""
