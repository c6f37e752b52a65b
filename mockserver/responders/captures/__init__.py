"""Values in a user's words: dates, times, numbers, names, choices and codes, typed or spoken.

English only. All functions are pure and read at most `MAX_TEXT` characters. The library text2num reads number words.

No maintained library reads such dates and times well enough. Of 26 dates and 23 times, dateparser 1.5 read 13 and 4,
parsedatetime 2.6 read 14 and 5, timefhuman 0.1 read 15 and 4, ctparse 0.3 read 11 and 12. recognizers-text read 24 and
17, but its last release is of 2019, and its import fails with emoji 2.
"""
