"""The documents of the HTTP APIs hold: requests are made from them, and answers held to them."""
