FROM rust:1.95-slim-bookworm AS build
# The image has this toolchain; rust-toolchain.toml would have another one fetched.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /mynah
COPY . .
RUN cargo build --release --bin mynah

FROM debian:bookworm-slim
WORKDIR /mynah
COPY --from=build /mynah/target/release/mynah /usr/local/bin/mynah
COPY --from=build /mynah/model_weights model_weights
COPY --from=build /mynah/config.toml config.toml
EXPOSE 8080
USER nobody
ENTRYPOINT ["mynah"]
CMD ["serve"]
