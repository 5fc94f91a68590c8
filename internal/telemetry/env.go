package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// FromEnv makes the tracer that the environment asks for, nil when it asks for none. Spans are exported by OTLP over
// HTTP when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, or OTEL_TRACES_EXPORTER is otlp,
// unless OTEL_SDK_DISABLED is true or OTEL_TRACES_EXPORTER is none. The other variables of the OpenTelemetry SDK
// (headers, sampler, batches, limits, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) mean what its specification says.
//
// version and instance tell the service's version and this process. Shutdown ends it.
func FromEnv(ctx context.Context, version, instance string) (*Tracer, error) {
	if on, err := wanted(os.Getenv); !on || err != nil {
		return nil, err
	}

	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces: %w", err)
	}

	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "millrace"),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", instance)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // the last one wins
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}

	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))

	return &Tracer{tracer: provider.Tracer(scope), shutdown: provider.Shutdown}, nil
}

// wanted reports whether the environment switches tracing on.
func wanted(get func(string) string) (bool, error) {
	read := func(name string) string { return strings.ToLower(strings.TrimSpace(get(name))) }

	exporter := read("OTEL_TRACES_EXPORTER")
	endpoint := read("OTEL_EXPORTER_OTLP_ENDPOINT") + read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

	switch {
	case read("OTEL_SDK_DISABLED") == "true", exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %.40q: there are otlp and none", exporter)
	}

	protocol := read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = read("OTEL_EXPORTER_OTLP_PROTOCOL")
	}

	if protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %.40q: traces go by http/protobuf, to port 4318 of most collectors", protocol)
	}

	return true, nil
}
