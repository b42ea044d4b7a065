//! Who is calling: verifies and mints tokens, and says what a caller may claim.
