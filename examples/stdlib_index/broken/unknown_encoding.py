# -*- coding: no-such-encoding -*-
answer = 42
