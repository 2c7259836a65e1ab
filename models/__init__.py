"""What is learned from interactions: counts, ranking, online learning. Knows nothing of Kafka or storage."""
