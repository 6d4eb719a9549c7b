"""What an equation is: read once, asked by whoever lowers, lays out, prices, exports or explains it."""
