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
# What the server writes: new volumes take their owner from these folders.
RUN mkdir voices data outputs shared && chown 10001:10001 voices data outputs shared
VOLUME ["/mynah/voices", "/mynah/data", "/mynah/outputs"]
EXPOSE 8080
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# Ready is what /readiness says is 200. There is no curl here; bash speaks TCP.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${MYNAH_SERVER__PORT:-8080} && printf 'GET /readiness HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["mynah"]
CMD ["serve"]
