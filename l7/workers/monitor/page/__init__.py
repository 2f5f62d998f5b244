"""The page of the admin address: what the browser gets, as it is; nothing is built, and nothing comes from elsewhere.

``index.html`` has the skeleton, ``main.js`` starts. Everything that a request has brought comes into the page as text
(``dom.js``), never as markup.
"""
