//! Learn XOR; no crates.   LOOM_DIR=compiled/<platform> cargo run --release

use std::error::Error;
use std::ffi::{c_char, c_int, CStr, CString};
use std::ptr;

extern "C" {
    fn Loom_InitDenseLayer(input_size: c_int, output_size: c_int, activation: c_int)
        -> *mut c_char;
    fn Loom_SetLayer(net: i64, row: c_int, col: c_int, layer: c_int, config: *const c_char)
        -> *mut c_char;
    fn Loom_Call(net: i64, method: *const c_char, args: *const c_char) -> *mut c_char;
    fn Loom_ForwardF32(net: i64, x: *const f32, n: usize, y: *mut f32, capacity: usize,
        written: *mut usize) -> c_int;
    fn Loom_TrainStepF32(net: i64, x: *const f32, n: usize, targets: *const f32, m: usize,
        settings: *const c_char, loss: *mut f32) -> c_int;
    fn Loom_Free(net: i64) -> c_int;
    fn Loom_LastError() -> *const c_char;
    fn Loom_FreeCString(text: *mut c_char);
}

const TANH: c_int = 2;
const SIGMOID: c_int = 1;
const TOO_SMALL: c_int = 2;

/// A reply as a String; `{"error": ...}` is an Err.
fn text(reply: *mut c_char) -> Result<String, Box<dyn Error>> {
    let copy = unsafe { CStr::from_ptr(reply) }.to_str()?.to_owned();
    unsafe { Loom_FreeCString(reply) };
    if copy.starts_with("{\"error\"") {
        return Err(copy.into());
    }
    Ok(copy)
}

fn check(status: c_int) -> Result<(), Box<dyn Error>> {
    match status {
        0 => Ok(()),
        _ => Err(unsafe { CStr::from_ptr(Loom_LastError()) }.to_str()?.into()),
    }
}

/// A network that is freed when it goes out of scope.
struct Network(i64);

impl Drop for Network {
    fn drop(&mut self) {
        unsafe { Loom_Free(self.0) };
    }
}

impl Network {
    fn new(input_size: usize, layers: usize, seed: u64) -> Result<Self, Box<dyn Error>> {
        let args = CString::new(format!("[{input_size}, 1, 1, {layers}, {seed}]"))?;
        let reply = text(unsafe { Loom_Call(0, c"NewNetwork".as_ptr(), args.as_ptr()) })?;
        let digits = reply.split("\"handle\":").nth(1).ok_or("no handle")?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        Ok(Network(digits[..end].parse()?))
    }

    fn dense(&self, layer: c_int, size: [c_int; 2], f: c_int) -> Result<(), Box<dyn Error>> {
        let config = CString::new(text(unsafe { Loom_InitDenseLayer(size[0], size[1], f) })?)?;
        text(unsafe { Loom_SetLayer(self.0, 0, 0, layer, config.as_ptr()) })?;
        Ok(())
    }

    fn train(&self, x: &[f32], t: &[f32], settings: &CStr) -> Result<f32, Box<dyn Error>> {
        let mut loss = 0.0;
        check(unsafe {
            Loom_TrainStepF32(self.0, x.as_ptr(), x.len(), t.as_ptr(), t.len(),
                settings.as_ptr(), &mut loss)
        })?;
        Ok(loss)
    }

    fn forward(&self, x: &[f32]) -> Result<Vec<f32>, Box<dyn Error>> {
        let mut size = 0;
        let run = |y: *mut f32, capacity: usize, size: &mut usize| unsafe {
            Loom_ForwardF32(self.0, x.as_ptr(), x.len(), y, capacity, size)
        };
        match run(ptr::null_mut(), 0, &mut size) {
            TOO_SMALL => {}
            status => check(status)?,
        }
        let mut y = vec![0.0; size];
        check(run(y.as_mut_ptr(), y.len(), &mut size))?;
        Ok(y)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let x = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let targets = [0.0, 1.0, 1.0, 0.0];
    let net = Network::new(2, 2, 7)?;
    net.dense(0, [2, 8], TANH)?;
    net.dense(1, [8, 1], SIGMOID)?;
    let mut loss = 0.0;
    for _ in 0..300 {
        loss = net.train(&x, &targets, c"{\"Optimizer\": \"adam\", \"LearningRate\": 0.05}")?;
    }
    println!("loss {loss:.3}");
    for (pair, y) in x.chunks(2).zip(net.forward(&x)?) {
        println!("{} xor {} = {:.0}", pair[0], pair[1], y);
    }
    Ok(())
}
