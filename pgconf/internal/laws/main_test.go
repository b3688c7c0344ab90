package laws_test

// longest is the size of an input from which on it is passed over: what is wrong with a long text is wrong with a short one, and short
// ones are quick.
const longest = 256
