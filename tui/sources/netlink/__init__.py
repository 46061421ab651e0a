"""Reading the kernel over rtnetlink(7): an own small reader, because events and thousands of links want a fast one."""
