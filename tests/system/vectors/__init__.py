"""vectors - what a hostile Internet is made of: DNS, policy hosts, and tables of cases."""
