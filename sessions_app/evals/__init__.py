"""The staff's pages to try agents out: the playground and the test chats."""
