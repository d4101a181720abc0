"""The four prompts (appendix A.6), in our own words: one file each, of a system and a user turn."""
