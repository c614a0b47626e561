// The API's page: Swagger UI on this server's own description, asking nobody else.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
