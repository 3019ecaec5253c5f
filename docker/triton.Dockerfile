# NVIDIA's Triton with what the labs' models need besides: the emulated accelerators, and the text classifier's tokeniser.
# Its own ONNX Runtime backend serves what the embedded server serves through Batchlab's Python backend of that name.
ARG TRITON_IMAGE
FROM ${TRITON_IMAGE}

RUN --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    grep -E '^(numpy|tokenizers)==' /tmp/constraints.txt > /tmp/packages.txt \
    && pip install --no-cache-dir --no-deps -r /tmp/packages.txt \
    && rm /tmp/packages.txt \
    && install -d -o 1000 -g 1000 /plans
COPY batchlab/backends/emulated/model.py /opt/tritonserver/backends/emulated/model.py

# The image's own user for serving.
USER 1000:1000
EXPOSE 8000 8001 8002
CMD ["tritonserver", "--model-repository=/models", "--model-control-mode=explicit", "--disable-auto-complete-config"]
