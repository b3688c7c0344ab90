package role

// Verifier is what NewVerifier does, with a salt and a number of iterations to choose.
var Verifier = verifier
