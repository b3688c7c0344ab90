package basebackup_test

const childEnv = "UNDERSTUDY_BASEBACKUP_CHILD"

func child() int { return 0 }
