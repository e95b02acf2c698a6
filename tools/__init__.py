"""What only the workshop of this repository uses: pages and pictures are made with it."""
