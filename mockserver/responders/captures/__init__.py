"""Values in a user's words: dates, times, numbers, names, choices and codes, typed or spoken.

English only. All functions are pure and read at most `MAX_TEXT` characters. The library text2num
reads number words. No library read the dates and times well enough (measured on 26 dates and 23 times): dateparser 1.5 reads 13 and 4, parsedatetime 2.6
14 and 5, timefhuman 0.1 15 and 4, ctparse 0.3 11 and 12. recognizers-text reads 24 and 17, but its last release is of
2019, and it fails to import with emoji 2.
"""
