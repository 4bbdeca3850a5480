FROM rust:1.95-slim-bookworm AS build
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
