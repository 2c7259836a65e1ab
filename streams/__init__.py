"""Everything that touches Kafka, the clock, the network and the command line."""
