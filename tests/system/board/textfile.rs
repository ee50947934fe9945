//! A file of metrics, served as node-exporter's textfile collector would.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

/// Serves a file, whatever it holds at the time, until the process ends; returns the port.
pub(crate) fn serve(file: &Path) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let file = file.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Prometheus may go away, and comes again.
            answer(stream, &file).unwrap_or_default();
        }
    });
    port
}

fn answer(mut stream: TcpStream, file: &PathBuf) -> std::io::Result<()> {
    let mut request = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read(&mut request)? == 0 {
            return Ok(());
        }
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}
