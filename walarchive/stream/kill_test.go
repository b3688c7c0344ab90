package stream_test

const childEnv = "UNDERSTUDY_STREAM_CHILD"

func child() int { return 0 }
