module xor

go 1.18
