print "a language that has moved on"
