// LOOM_DIR: the folder of libloom, as `python -m loom.cabi build` prints it.
fn main() {
    let folder = std::env::var("LOOM_DIR").expect("set LOOM_DIR to libloom's folder");
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=dylib=loom");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    println!("cargo:rerun-if-env-changed=LOOM_DIR");
}
