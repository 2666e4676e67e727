"""What runs in the child: users, tickets, connections, counts; Locust itself is the worker's."""
