//! Compiles the `.proto` files under `src/proto/defs` with a pure-Rust compiler, so that a build
//! needs no `protoc`. Byte fields become `bytes::Bytes`: keys and values are never copied on decode.
//! And `src/malloc.c`, which says what it is for.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = "src/proto/defs";
    let files = [
        "rpc.proto",
        "lock.proto",
        "election.proto",
        "internal.proto",
        "health.proto",
        "peer.proto",
        "revocation.proto",
        "members.proto",
        "enrol.proto",
    ];
    // These hold secrets; `src/proto/secrets.rs` prints them without.
    let secret = [
        "authpb.User",
        "etcdserverpb.AuthenticateRequest",
        "etcdserverpb.AuthUserAddRequest",
        "etcdserverpb.AuthUserChangePasswordRequest",
        "etcdserverpb.AuthenticateResponse",
        "internal.Authenticate",
        "enrol.Token",
        "enrol.Credential",
    ];
    println!("cargo:rerun-if-changed={dir}");
    let descriptors = protox::compile(files, [dir])?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(secret)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    tune_malloc()?;
    Ok(())
}

/// Links what nobody calls into every program.
fn tune_malloc() -> Result<(), cc::Error> {
    let source = "src/malloc.c";
    println!("cargo:rerun-if-changed={source}");
    cc::Build::new().file(source).cargo_metadata(false).try_compile("etcd_malloc")?;
    let folder = std::env::var("OUT_DIR").unwrap_or_default();
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=etcd_malloc");
    Ok(())
}
