// Learn XOR through cgo.
//
//	CGO_CFLAGS="-I$DIR" CGO_LDFLAGS="-L$DIR -lloom -Wl,-rpath,$DIR" go run .
package main

/*
#include <loom.h>
#include <stdlib.h>
*/
import "C"

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"runtime"
	"unsafe"
)

// reply decodes a JSON reply into out and frees it; {"error": ...} becomes an error.
func reply(text *C.char, out any) error {
	defer C.Loom_FreeCString(text)
	data := []byte(C.GoString(text))
	var failed struct{ Error string }
	if json.Unmarshal(data, &failed) == nil && failed.Error != "" {
		return errors.New(failed.Error)
	}
	return json.Unmarshal(data, out)
}

func setLayer(net C.int64_t, layer int, config *C.char) error {
	defer C.Loom_FreeCString(config)
	var status map[string]string
	return reply(C.Loom_SetLayer(net, 0, 0, C.int(layer), config), &status)
}

func floats(values []float32) (*C.float, C.size_t) {
	return (*C.float)(unsafe.Pointer(&values[0])), C.size_t(len(values))
}

func run() error {
	// Loom_LastError belongs to the thread of the call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	x := []float32{0, 0, 0, 1, 1, 0, 1, 1}
	targets := []float32{0, 1, 1, 0}
	method, size := C.CString("NewNetwork"), C.CString("[2, 1, 1, 2, 7]")
	settings := C.CString(`{"Optimizer": "adam", "LearningRate": 0.05}`)
	defer C.free(unsafe.Pointer(method))
	defer C.free(unsafe.Pointer(size))
	defer C.free(unsafe.Pointer(settings))

	var made []struct{ Handle int64 }
	if err := reply(C.Loom_Call(0, method, size), &made); err != nil {
		return err
	}
	net := C.int64_t(made[0].Handle)
	defer C.Loom_Free(net)
	if err := setLayer(net, 0, C.Loom_InitDenseLayer(2, 8, C.LOOM_TANH)); err != nil {
		return err
	}
	if err := setLayer(net, 1, C.Loom_InitDenseLayer(8, 1, C.LOOM_SIGMOID)); err != nil {
		return err
	}

	var loss C.float
	px, n := floats(x)
	pt, m := floats(targets)
	for step := 0; step < 300; step++ {
		if C.Loom_TrainStepF32(net, px, n, pt, m, settings, &loss) != C.LOOM_OK {
			return errors.New(C.GoString(C.Loom_LastError()))
		}
	}
	fmt.Printf("loss %.3f\n", float32(loss))

	y := make([]float32, len(targets))
	py, capacity := floats(y)
	var written C.size_t
	if C.Loom_ForwardF32(net, px, n, py, capacity, &written) != C.LOOM_OK {
		return errors.New(C.GoString(C.Loom_LastError()))
	}
	for i, value := range y[:written] {
		fmt.Printf("%.0f xor %.0f = %.0f\n", x[2*i], x[2*i+1], value)
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
